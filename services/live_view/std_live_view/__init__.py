"""live_view: sends images to clients over gRPC, to each at its own pace."""
