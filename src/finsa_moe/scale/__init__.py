"""Beyond one file and one process: files scored into shards, the daily index made of them. Nothing here needs torch."""
