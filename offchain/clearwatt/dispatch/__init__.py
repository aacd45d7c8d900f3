"""Multi-period economic dispatch of a community: who generates, stores and consumes how much, and at what price."""
