"""Learned codecs with side information at the decoder, DSIN and DWSIC: what the paper compares with."""
