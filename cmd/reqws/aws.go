package main

import (
	"context"
	"errors"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"

	"github.com/reqws/reqws"
)

// awsOption is --aws-sigv4, with what belongs to it.
func (s *settings) awsOption() (reqws.Option, error) {
	service, region, _ := strings.Cut(s.aws, ":")
	if service == "" {
		return reqws.Option{}, errors.New("it takes SERVICE or SERVICE:REGION, such as execute-api:eu-central-1")
	}
	var load []func(*config.LoadOptions) error
	if s.awsProfile != "" {
		load = append(load, config.WithSharedConfigProfile(s.awsProfile))
	}
	chain, err := config.LoadDefaultConfig(context.Background(), load...)
	if err != nil {
		return reqws.Option{}, &credentialsError{err}
	}
	if region == "" {
		region = chain.Region
	}
	if region == "" {
		return reqws.Option{}, errors.New("no region: give it as SERVICE:REGION, or in AWS_REGION or the AWS configuration")
	}
	return reqws.AWSSigV4(reqws.SigV4{
		Service:           service,
		Region:            region,
		Credentials:       s.noted(chain.Credentials),
		Presign:           s.presign,
		TokenAfterSigning: s.tokenAfter,
	}), nil
}

// noted notes the failure of a provider.
func (s *settings) noted(chain aws.CredentialsProvider) aws.CredentialsProvider {
	return aws.CredentialsProviderFunc(func(ctx context.Context) (aws.Credentials, error) {
		c, err := chain.Retrieve(ctx)
		if err != nil && ctx.Err() == nil {
			s.creds.failed = err
		}
		return c, err
	})
}

// needsAWS is for flags that say nothing without --aws-sigv4.
func (s *settings) needsAWS() option {
	return func() (reqws.Option, error) {
		if !s.given("aws-sigv4") {
			return reqws.Option{}, errors.New("it goes with --aws-sigv4")
		}
		return reqws.Option{}, nil
	}
}
