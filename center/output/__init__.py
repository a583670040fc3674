"""The way out: decoded pairs, their quality, and who watches."""
