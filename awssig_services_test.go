package reqws

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/matryer/is"

	"github.com/reqws/reqws/reqwstest"
)

// Each service gets the request that it documents.
func TestSigV4Services(t *testing.T) {
	const token = "IQoJb3JpZ2luX2VjEXAMPLE"
	const arn = "arn:aws:bedrock-agentcore:us-west-2:123456789012:runtime/agent-x"
	query := func(service, region string, expires int, rest ...string) string {
		pairs := append([]string{
			"X-Amz-Algorithm=AWS4-HMAC-SHA256",
			"X-Amz-Credential=AKIDEXAMPLE%2F20240501%2F" + region + "%2F" + service + "%2Faws4_request",
			"X-Amz-Date=20240501T101112Z",
			fmt.Sprint("X-Amz-Expires=", expires),
		}, rest...)
		slices.Sort(pairs)
		return strings.Join(pairs, "&")
	}
	tests := []struct {
		name     string
		sig      SigV4
		opts     []Option
		host     string
		path     string   // on the wire
		unsigned []string // parameters
		// The canonical request, as the service's documentation has it.
		canonicalPath, canonicalQuery string
		canonicalHeaders              []string
	}{
		{
			name: "API Gateway",
			sig:  SigV4{Service: "execute-api"},
			opts: []Option{URL("wss://a1b2c3d4e5.execute-api.us-east-1.amazonaws.com/production"), Param("room", "go lang")},
			host: "a1b2c3d4e5.execute-api.us-east-1.amazonaws.com", path: "/production",
			canonicalPath:  "/production",
			canonicalQuery: "room=go%20lang",
			canonicalHeaders: []string{
				"host:a1b2c3d4e5.execute-api.us-east-1.amazonaws.com",
				"x-amz-date:20240501T101112Z",
				"x-amz-security-token:" + token,
			},
		},
		{
			name: "API Gateway, presigned",
			sig:  SigV4{Service: "execute-api", Region: "eu-central-1", Presign: time.Minute},
			opts: []Option{URL("wss://a1b2c3d4e5.execute-api.eu-central-1.amazonaws.com:443/@connections")},
			host: "a1b2c3d4e5.execute-api.eu-central-1.amazonaws.com", path: "/@connections",
			canonicalPath:    "/%40connections",
			canonicalQuery:   query("execute-api", "eu-central-1", 60, "X-Amz-SignedHeaders=host", "X-Amz-Security-Token="+token),
			canonicalHeaders: []string{"host:a1b2c3d4e5.execute-api.eu-central-1.amazonaws.com"},
		},
		{
			name: "IoT Core",
			sig:  SigV4{Service: "iotdevicegateway", Presign: 24 * time.Hour, TokenAfterSigning: true},
			opts: []Option{URL("wss://a3example-ats.iot.us-east-1.amazonaws.com/mqtt"), Subprotocols("mqtt")},
			host: "a3example-ats.iot.us-east-1.amazonaws.com", path: "/mqtt",
			unsigned:         []string{"X-Amz-Security-Token"},
			canonicalPath:    "/mqtt",
			canonicalQuery:   query("iotdevicegateway", "us-east-1", 86400, "X-Amz-SignedHeaders=host"),
			canonicalHeaders: []string{"host:a3example-ats.iot.us-east-1.amazonaws.com"},
		},
		{
			name: "Transcribe",
			sig:  SigV4{Service: "transcribe", Region: "us-west-2", Presign: 300 * time.Second},
			opts: []Option{URL("wss://transcribestreaming.us-west-2.amazonaws.com:8443/stream-transcription-websocket"),
				Params(map[string]any{"language-code": "en-US", "media-encoding": "flac", "sample-rate": 16000})},
			host: "transcribestreaming.us-west-2.amazonaws.com:8443", path: "/stream-transcription-websocket",
			canonicalPath: "/stream-transcription-websocket",
			canonicalQuery: query("transcribe", "us-west-2", 300, "X-Amz-SignedHeaders=host", "X-Amz-Security-Token="+token,
				"language-code=en-US", "media-encoding=flac", "sample-rate=16000"),
			canonicalHeaders: []string{"host:transcribestreaming.us-west-2.amazonaws.com:8443"},
		},
		{
			name: "Kinesis Video signaling",
			sig:  SigV4{Service: "kinesisvideo", Region: "us-west-2", Presign: 299 * time.Second},
			opts: []Option{URL("wss://v-1234abcd.kinesisvideo.us-west-2.amazonaws.com"),
				Param("X-Amz-ChannelARN", "arn:aws:kinesisvideo:us-west-2:123456789012:channel/demo/1"), Param("X-Amz-ClientId", "viewer 1")},
			host: "v-1234abcd.kinesisvideo.us-west-2.amazonaws.com", path: "/",
			canonicalPath: "/",
			canonicalQuery: query("kinesisvideo", "us-west-2", 299, "X-Amz-SignedHeaders=host", "X-Amz-Security-Token="+token,
				"X-Amz-ChannelARN=arn%3Aaws%3Akinesisvideo%3Aus-west-2%3A123456789012%3Achannel%2Fdemo%2F1", "X-Amz-ClientId=viewer%201"),
			canonicalHeaders: []string{"host:v-1234abcd.kinesisvideo.us-west-2.amazonaws.com"},
		},
		{
			name: "Bedrock AgentCore",
			sig:  SigV4{Service: "bedrock-agentcore", Region: "us-west-2"},
			opts: []Option{URL("wss://bedrock-agentcore.us-west-2.amazonaws.com/runtimes/:arn/ws?qualifier=DEFAULT"), PathParams(map[string]any{"arn": arn}),
				Header("X-Amzn-Bedrock-AgentCore-Runtime-Session-Id", "session-1")},
			host:           "bedrock-agentcore.us-west-2.amazonaws.com",
			path:           "/runtimes/arn%3Aaws%3Abedrock-agentcore%3Aus-west-2%3A123456789012%3Aruntime%2Fagent-x/ws",
			canonicalPath:  "/runtimes/arn%253Aaws%253Abedrock-agentcore%253Aus-west-2%253A123456789012%253Aruntime%252Fagent-x/ws",
			canonicalQuery: "qualifier=DEFAULT",
			canonicalHeaders: []string{
				"host:bedrock-agentcore.us-west-2.amazonaws.com",
				"x-amz-date:20240501T101112Z",
				"x-amz-security-token:" + token,
				"x-amzn-bedrock-agentcore-runtime-session-id:session-1",
			},
		},
		{
			name: "Bedrock AgentCore, ARN as it is and presigned",
			sig:  SigV4{Service: "bedrock-agentcore", Region: "us-west-2", Presign: 300 * time.Second},
			opts: []Option{URL("wss://bedrock-agentcore.us-west-2.amazonaws.com/runtimes/arn:aws:bedrock-agentcore:us-west-2:123456789012:runtime%2Fagent-x/ws")},
			host: "bedrock-agentcore.us-west-2.amazonaws.com",
			path: "/runtimes/arn:aws:bedrock-agentcore:us-west-2:123456789012:runtime%2Fagent-x/ws",
			// A colon that is sent as it is is encoded but once.
			canonicalPath:    "/runtimes/arn%3Aaws%3Abedrock-agentcore%3Aus-west-2%3A123456789012%3Aruntime%252Fagent-x/ws",
			canonicalQuery:   query("bedrock-agentcore", "us-west-2", 300, "X-Amz-SignedHeaders=host", "X-Amz-Security-Token="+token),
			canonicalHeaders: []string{"host:bedrock-agentcore.us-west-2.amazonaws.com"},
		},
		{
			name: "Neptune",
			sig:  SigV4{Service: "neptune-db"},
			opts: []Option{URL("wss://db.cluster-c1.us-east-1.neptune.amazonaws.com:8182/gremlin")},
			host: "db.cluster-c1.us-east-1.neptune.amazonaws.com:8182", path: "/gremlin",
			canonicalPath: "/gremlin",
			canonicalHeaders: []string{
				"host:db.cluster-c1.us-east-1.neptune.amazonaws.com:8182",
				"x-amz-date:20240501T101112Z",
				"x-amz-security-token:" + token,
			},
		},
		{
			name: "EC2 Instance Connect",
			sig:  SigV4{Service: "ec2-instance-connect", Region: "eu-west-1", Presign: time.Minute},
			opts: []Option{URL("wss://eice-0abc.1234abcd.ec2-instance-connect-endpoint.eu-west-1.amazonaws.com/openTunnel"),
				Params(map[string]any{"instanceConnectEndpointId": "eice-0abc", "maxTunnelDuration": 3600, "privateIpAddress": "10.0.0.7", "remotePort": 22})},
			host: "eice-0abc.1234abcd.ec2-instance-connect-endpoint.eu-west-1.amazonaws.com", path: "/openTunnel",
			canonicalPath: "/openTunnel",
			canonicalQuery: query("ec2-instance-connect", "eu-west-1", 60, "X-Amz-SignedHeaders=host", "X-Amz-Security-Token="+token,
				"instanceConnectEndpointId=eice-0abc", "maxTunnelDuration=3600", "privateIpAddress=10.0.0.7", "remotePort=22"),
			canonicalHeaders: []string{"host:eice-0abc.1234abcd.ec2-instance-connect-endpoint.eu-west-1.amazonaws.com"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			is := is.New(t)
			keys := vectorKeys(token)
			tt.sig.AccessKeyID, tt.sig.SecretAccessKey, tt.sig.SessionToken = keys.AccessKeyID, keys.SecretAccessKey, keys.SessionToken
			tt.sig.Time = at("2024-05-01T12:11:12+02:00")
			accept := reqwstest.Accept()
			if strings.HasPrefix(tt.name, "IoT") {
				accept = reqwstest.Accept(reqwstest.WithSubprotocol("mqtt"))
			}
			srv := reqwstest.NewMemory(t, reqwstest.TLS(), reqwstest.Script(accept))
			config := srv.TLSConfig()
			config.ServerName = "example.com"
			var dialled string
			dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
				dialled = addr
				return srv.DialContext(ctx, network, addr)
			}
			resp, err := New(append(tt.opts, AWSSigV4(tt.sig), TLSConfig(config), DialContext(dial))...).Do(t.Context())
			is.NoErr(err)
			defer resp.CloseNow()

			r := srv.Requests()[0]
			is.Equal(r.Host, tt.host)
			is.True(strings.HasPrefix(dialled, strings.Split(tt.host, ":")[0]))
			path, _, _ := strings.Cut(r.RequestURI, "?")
			is.Equal(path, tt.path)
			got := verify(t, r, keys.SecretAccessKey, encodedAgain, tt.unsigned...)
			var names []string
			for _, h := range tt.canonicalHeaders {
				name, _, _ := strings.Cut(h, ":")
				names = append(names, name)
			}
			is.Equal(got.canonical, strings.Join([]string{
				"GET", tt.canonicalPath, tt.canonicalQuery, strings.Join(tt.canonicalHeaders, "\n") + "\n",
				strings.Join(names, ";"), emptySHA256,
			}, "\n"))
			is.Equal(got.got, got.signature)
			is.Equal(got.access, "AKIDEXAMPLE")
			is.Equal(got.token, token)
			if tt.unsigned != nil {
				is.True(strings.HasSuffix(r.RequestURI, "&X-Amz-Security-Token="+token))
			}
			is.Equal(r.Header.Get("Authorization") == "", tt.sig.Presign > 0)
			is.Equal(r.Header.Get("X-Amz-Date") == "", tt.sig.Presign > 0)
		})
	}
}
