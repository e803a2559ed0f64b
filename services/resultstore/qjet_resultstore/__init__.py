"""The resultstore: the only writer of results. Results stream in, bucket entries and events out."""
