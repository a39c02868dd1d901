"""Find what is wrong with images and labels, and write clean tables of the rest."""
