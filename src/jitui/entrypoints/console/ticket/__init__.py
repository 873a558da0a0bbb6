"""What the pages of a ticket share, whoever reads them."""
