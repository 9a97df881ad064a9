"""How it moves: transport, Faust app and agents, topics, codecs, clock, intake, sink, client, replay."""
