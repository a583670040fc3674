"""The recorder beside the live path, and reading back what it wrote."""
