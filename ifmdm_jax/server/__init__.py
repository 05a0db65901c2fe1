"""Live avatars over the network: WebRTC and two websocket dialects around `streaming.live.Live`."""
