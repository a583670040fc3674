"""The page: two live pictures, the links' controls, and what other programs ask over HTTP."""
