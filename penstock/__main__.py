"""`python -m penstock`."""

from penstock.surfaces.cli import main

if __name__ == "__main__":
    main()
