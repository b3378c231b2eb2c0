// Apigateway is a bot that works off jobs behind a WebSocket API of AWS API Gateway which asks
// for IAM authorization: each handshake is signed with Signature Version 4.
//
// Without a URL it starts a stand-in for the gateway on loopback, which checks signatures as AWS
// does and ends the connection after a few jobs, as the real one does after two hours:
//
//	go run ./examples/apigateway
//
// With one it connects to that API, with the keys of the environment (AWS_ACCESS_KEY_ID,
// AWS_SECRET_ACCESS_KEY, and AWS_SESSION_TOKEN of temporary ones) and the region AWS_REGION:
//
//	go run ./examples/apigateway wss://ID.execute-api.REGION.amazonaws.com/STAGE
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/reqws/reqws"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Getenv, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "apigateway:", err)
		os.Exit(1)
	}
}

// The keys and the region of the stand-in. AWS's own documentation uses these keys.
const (
	demoKeyID  = "AKIAIOSFODNN7EXAMPLE"
	demoSecret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
	demoRegion = "eu-central-1"
)

// run is the program. opts are added to those of the bot's Request.
func run(ctx context.Context, args []string, getenv func(string) string, out io.Writer, opts ...reqws.Option) error {
	if len(args) > 0 {
		signature := reqws.SigV4{Credentials: fromEnvironment(getenv), Region: getenv("AWS_REGION")}
		return newBot(out).work(ctx, args[0], signature, opts...)
	}
	gateway, err := startGateway(demoRegion, map[string]string{demoKeyID: demoSecret})
	if err != nil {
		return err
	}
	defer gateway.stop()
	fmt.Fprintln(out, "no URL given: working for a stand-in on loopback")
	signature := reqws.SigV4{AccessKeyID: demoKeyID, SecretAccessKey: demoSecret, Region: demoRegion}
	return newBot(out).work(ctx, gateway.url, signature, opts...)
}

// fromEnvironment is a provider of credentials, which is asked for every handshake: what it
// returns may change in the life of the bot. A program that depends on the SDK's config package
// gives the Credentials of its config.LoadDefaultConfig here, which also knows profiles, roles
// and containers.
func fromEnvironment(getenv func(string) string) aws.CredentialsProvider {
	return aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		c := aws.Credentials{
			AccessKeyID:     getenv("AWS_ACCESS_KEY_ID"),
			SecretAccessKey: getenv("AWS_SECRET_ACCESS_KEY"),
			SessionToken:    getenv("AWS_SESSION_TOKEN"),
		}
		if !c.HasKeys() {
			return c, errors.New("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not both set")
		}
		return c, nil
	})
}
