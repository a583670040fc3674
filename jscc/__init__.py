"""The paper: joint source-channel encoder and decoder, channels, training, evaluation, weights.

Importing this package costs nothing: torch is imported only by the modules that need it.
"""
