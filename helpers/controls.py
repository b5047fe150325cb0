"""How the course's widgets are laid out: as wide as the page allows, never wider than a card."""

WIDE = {"width": "auto", "max_width": "900px"}
LABELLED = {"description_width": "110px"}
CHOICES = {"description_width": "110px", "button_width": "auto"}
