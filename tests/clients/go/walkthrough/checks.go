// Contexts of callers, and checks of results and errors.
package main

import (
	"context"
	"io"
	"log"
	"os"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// caller returns a context that sends the token of a role.
func caller(role string) context.Context {
	return metadata.AppendToOutgoingContext(context.Background(), "authorization", "Bearer "+os.Getenv("TOKEN_"+role))
}

// receive returns all messages of a stream that must end with OK.
func receive[Message any](stream grpc.ServerStreamingClient[Message]) []*Message {
	var messages []*Message
	for {
		message, err := stream.Recv()
		if err == io.EOF {
			return messages
		}
		check(err)
		messages = append(messages, message)
	}
}

// A refusal is what the status of a failed call says.
type refusal struct {
	message    string
	metadata   map[string]string
	violations []*errdetails.PreconditionFailure_Violation
}

// refused requires that a call failed with a code and a reason.
func refused(err error, code codes.Code, reason string) refusal {
	requireCode(err, code)
	found, reasons := refusal{message: status.Convert(err).Message()}, []string{}
	for _, detail := range status.Convert(err).Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			reasons = append(reasons, detail.GetReason())
			found.metadata = detail.GetMetadata()
		case *errdetails.PreconditionFailure:
			found.violations = detail.GetViolations()
		}
	}
	require(len(reasons) == 1 && reasons[0] == reason, "%v instead of %v: %v", reasons, reason, err)
	return found
}

func requireCode(err error, code codes.Code) {
	require(status.Code(err) == code, "%v instead of %v", err, code)
}

func require(holds bool, format string, values ...any) {
	if !holds {
		log.Panicf(format, values...)
	}
}
