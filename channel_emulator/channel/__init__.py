"""The law of a link: settings, SNR over time, gain, noise, power check; pure functions of (seed, link, sequence)."""
