"""English texts for codes of the core; the catalogues translate them."""
