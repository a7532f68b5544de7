"""Training losses on waveforms (B, T) and features (B, T, C, H, W). Torch is needed to import the modules inside."""
