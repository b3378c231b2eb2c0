package reqws_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/reqws/reqws"
)

func ExampleAWSSigV4() {
	srv := newExampleServer("X-Amz-Date", "X-Amz-Security-Token")
	defer srv.Close()

	open(reqws.New(
		reqws.URL(srv.WS+"/production"),
		reqws.AWSSigV4(reqws.SigV4{
			AccessKeyID:     "AKIDEXAMPLE",
			SecretAccessKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
			SessionToken:    "session",
			Service:         "execute-api",
			Region:          "eu-central-1",
			Time:            func() time.Time { return time.Date(2024, 5, 1, 10, 11, 12, 0, time.UTC) },
		}),
	))
	// Output:
	// GET /production
	//   X-Amz-Date: 20240501T101112Z
	//   X-Amz-Security-Token: session
}

// A presigned URL, as AWS IoT Core asks for it, with credentials from a
// provider: that of the SDK's configuration, say.
func ExampleAWSSigV4_presign() {
	srv := newExampleServer()
	defer srv.Close()
	provider := aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", SessionToken: "session"}, nil
	})

	resp, err := reqws.New(
		reqws.URL(srv.URL+"/mqtt"),
		reqws.AWSSigV4(reqws.SigV4{
			Credentials:       provider,
			Service:           "iotdevicegateway",
			Presign:           time.Hour,
			TokenAfterSigning: true,
		}),
		reqws.Transport(reqws.RoundTripFunc(func(req *http.Request) (*http.Response, error) {
			q := req.URL.Query()
			fmt.Println("valid for", q.Get("X-Amz-Expires"), "s; signed:", q.Get("X-Amz-SignedHeaders"))
			fmt.Println("token at the end:", strings.HasSuffix(req.URL.RawQuery, "&X-Amz-Security-Token=session"))
			return &http.Response{StatusCode: http.StatusNoContent, Body: http.NoBody, Request: req}, nil
		})),
	).Do(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(resp.StatusCode, resp.Request.URL.Query().Get("X-Amz-Signature"))
	// Output:
	// valid for 3600 s; signed: host
	// token at the end: true
	// 204 REDACTED
}
