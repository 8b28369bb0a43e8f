// Makes the calls of requests.json with the generated clients, and prints the name of each method.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"os"
	"reflect"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	outflow "client/gen/outflow/v1"
)

// An entry of requests.json.
type entry struct {
	Method, Caller string
	Request        json.RawMessage
	Save           []string
}

func main() {
	channel, err := grpc.NewClient(os.Getenv("ADDRESS"), grpc.WithTransportCredentials(insecure.NewCredentials()))
	check(err)
	clients := map[string]any{
		"outflow.v1.AuditService":      outflow.NewAuditServiceClient(channel),
		"outflow.v1.ConnectionService": outflow.NewConnectionServiceClient(channel),
		"outflow.v1.ExportService":     outflow.NewExportServiceClient(channel),
		"outflow.v1.IdentityService":   outflow.NewIdentityServiceClient(channel),
	}
	table, err := os.ReadFile(os.Getenv("REQUESTS"))
	check(err)
	var entries []entry
	check(json.Unmarshal(table, &entries))
	saved := ""
	for _, entry := range entries {
		service, method, _ := strings.Cut(entry.Method, "/")
		function := reflect.ValueOf(clients[service]).MethodByName(method)
		answer := call(function, entry, saved)
		if entry.Save != nil {
			saved = field(answer.ProtoReflect(), entry.Save)
		}
		fmt.Println(entry.Method)
	}
}

// call makes a call of a generated client, and returns the first message of its response.
func call(function reflect.Value, entry entry, saved string) proto.Message {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	token := os.Getenv("TOKEN_" + strings.ToUpper(entry.Caller))
	ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
	text := strings.NewReplacer("{parent}", os.Getenv("ORGANIZATION"), "{saved}", saved).Replace(string(entry.Request))
	request := reflect.New(function.Type().In(1).Elem())
	check(protojson.Unmarshal([]byte(text), request.Interface().(proto.Message)))
	results := function.Call([]reflect.Value{reflect.ValueOf(ctx), request})
	checkResult(results[1])
	if answer, ok := results[0].Interface().(proto.Message); ok {
		return answer
	}
	var first proto.Message
	for {
		received := results[0].MethodByName("Recv").Call(nil)
		if received[1].Interface() == io.EOF {
			return first
		}
		checkResult(received[1])
		if first == nil {
			first = received[0].Interface().(proto.Message)
		}
	}
}

// field returns a text in a message by the names of the fields on its path.
func field(message protoreflect.Message, path []string) string {
	value := message.Get(message.Descriptor().Fields().ByName(protoreflect.Name(path[0])))
	if len(path) == 1 {
		return value.String()
	}
	return field(value.Message(), path[1:])
}

func checkResult(result reflect.Value) {
	if err, failed := result.Interface().(error); failed {
		check(err)
	}
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
