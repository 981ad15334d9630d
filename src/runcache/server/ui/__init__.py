"""The web pages below `/ui/`: a file of handlers each, templates and static files beside them."""
