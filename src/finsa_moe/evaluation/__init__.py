"""Measuring a model through ``predict_proba`` alone, so that a mixture, a baseline and an export are measured alike."""
