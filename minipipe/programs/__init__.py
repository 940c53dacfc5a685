"""Programs that are not MiniPipe at the ends of a pipeline: they speak ZeroMQ and msgpack.

`ZmqSource` takes their messages, `ZmqSink` sends them some.  What is in a message is said by
`codecs`, when a stream is over by `ends`, who may connect by `transport.curve`.
"""
