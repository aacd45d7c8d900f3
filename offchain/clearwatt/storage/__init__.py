"""The database of an oracle or a gateway: signed messages, how far peers have been read, encryption at rest."""
