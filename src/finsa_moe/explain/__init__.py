"""Why a text was answered as it was: SHAP values of its words, by class, for anything with ``predict_proba``."""
