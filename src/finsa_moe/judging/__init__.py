"""Judged side by side: models made of their specs, their wrong answers explained, a mixture before and after it grew.

It stands above `evaluation`, which knows no model, and the rooms that make models.
"""
