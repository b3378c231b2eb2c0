module github.com/reqws/reqws

go 1.25.0

require (
	github.com/aws/aws-sdk-go-v2 v1.47.7
	github.com/cenkalti/backoff/v4 v4.3.0
	github.com/coder/websocket v1.8.15
	github.com/klauspost/compress v1.20.3
	github.com/matryer/is v1.4.1
	golang.org/x/net v0.58.0
)

require (
	github.com/aws/smithy-go v1.28.8 // indirect
	golang.org/x/text v0.41.0 // indirect
)
