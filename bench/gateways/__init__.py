"""What a request costs in a gateway: Quoth's, LiteLLM's, nginx as the floor, the smallest application there can be."""
