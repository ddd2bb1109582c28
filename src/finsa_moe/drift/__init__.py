"""Whether new texts are still those a model knows: shares, words, intervals. Nothing here imports torch."""
