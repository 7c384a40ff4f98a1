"""Where models serve, behind one small protocol; a module each."""
