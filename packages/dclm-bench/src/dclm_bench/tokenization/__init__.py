"""Pages to shuffled training shards: tokenise, cut into contexts, shuffle, and read the shards again."""
