"""Holds the engine that forwards RTP within the server's own process, on aiortc, without decoding."""
