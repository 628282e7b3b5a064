"""What requests over a network share: addresses, which are of the internet, whom TLS trusts, when to try again."""
