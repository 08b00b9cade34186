// Calls a server through grpc-go, with messages made from TensorFlow Serving's .proto files, and
// prints what comes back, as one JSON object.
//
// usage: use_grpc_go DESCRIPTORS GRPC_PORT
//
// DESCRIPTORS: a file of a FileDescriptorSet that has the two services and all that they import
package main

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"log"
	"math"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
)

const (
	predict  = "PredictionService/Predict"
	metadata = "PredictionService/GetModelMetadata"
	states   = "ModelService/GetModelStatus"
)

type object map[string]any

type client struct {
	connection *grpc.ClientConn
	files      *protoregistry.Files
}

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}

func readDescriptors(path string) *protoregistry.Files {
	set := &descriptorpb.FileDescriptorSet{}
	if err := proto.Unmarshal(must(os.ReadFile(path)), set); err != nil {
		log.Fatal(err)
	}
	return must(protodesc.NewFiles(set))
}

func connect(files *protoregistry.Files, port string) client {
	credentials := grpc.WithTransportCredentials(insecure.NewCredentials())
	return client{must(grpc.NewClient("127.0.0.1:"+port, credentials)), files}
}

// The answer to a request as JSON, or the call's error.
func (c client) call(
	ctx context.Context, method string, request object, options ...grpc.CallOption,
) ([]byte, error) {
	name := protoreflect.FullName("tensorflow.serving." + strings.Replace(method, "/", ".", 1))
	descriptor := must(c.files.FindDescriptorByName(name)).(protoreflect.MethodDescriptor)
	in := dynamicpb.NewMessage(descriptor.Input())
	out := dynamicpb.NewMessage(descriptor.Output())
	if err := protojson.Unmarshal(must(json.Marshal(request)), in); err != nil {
		log.Fatal(err)
	}
	err := c.connection.Invoke(ctx, "/tensorflow.serving."+method, in, out, options...)
	if err != nil {
		return nil, err
	}
	types := dynamicpb.NewTypes(c.files) // knows what an Any holds
	return must(protojson.MarshalOptions{UseProtoNames: true, Resolver: types}.Marshal(out)), nil
}

// As call(), for a call that is to end well within its deadline.
func (c client) callInTime(method string, request object, options ...grpc.CallOption) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	return c.call(ctx, method, request, options...)
}

// The answer for printing; [code, message] of an error.
func (c client) ask(method string, request object) any {
	answer, err := c.callInTime(method, request)
	if err != nil {
		return []string{status.Code(err).String(), status.Convert(err).Message()}
	}
	return json.RawMessage(answer)
}

// What half_plus answers; an error ends the program.
func (c client) halfPlus(x object, options ...grpc.CallOption) []float32 {
	var answer struct {
		Outputs map[string]struct {
			FloatVal []float32 `json:"float_val"`
		}
	}
	text := must(c.callInTime(predict, predictOf("half_plus", object{"x": x}), options...))
	if err := json.Unmarshal(text, &answer); err != nil {
		log.Fatal(err)
	}
	return answer.Outputs["y"].FloatVal
}

// How many of the calls from many goroutines at once, over all connections, got their own answers.
func many(clients []client, goroutines, calls int) int64 {
	var right atomic.Int64
	var all sync.WaitGroup
	for i := 0; i < goroutines; i++ {
		all.Add(1)
		go func(i int) {
			defer all.Done()
			for j := 0; j < calls; j++ {
				x := float32(calls*i + j)
				y := clients[i%len(clients)].halfPlus(floats(x, -x))
				if len(y) == 2 && y[0] == x/2+4 && y[1] == -x/2+4 {
					right.Add(1)
				}
			}
		}(i)
	}
	all.Wait()
	return right.Load()
}

// How many values came back right of a message of 2 MiB each way, as gzip.
func large(c client) int {
	values := make([]float32, 1<<19)
	for i := range values {
		values[i] = float32(i)
	}
	right := 0
	for i, y := range c.halfPlus(packed(values), grpc.UseCompressor(gzip.Name)) {
		if y == values[i]/2+4 {
			right++
		}
	}
	return right
}

// Calls that take long end by their deadline or are cancelled, while others on their connection go on:
// how many ended with which code, and how many of the others were answered right.
func ended(c client) object {
	steps := object{"dtype": "DT_INT32", "tensor_shape": shape(), "int_val": []int{600}}
	slowly := predictOf("slow", object{"steps": steps})
	const each = 4
	codes := make(chan string, 2*each)
	ask := func(ctx context.Context, cancel context.CancelFunc) {
		defer cancel()
		_, err := c.call(ctx, predict, slowly)
		codes <- status.Code(err).String()
	}
	for i := 0; i < each; i++ {
		go ask(context.WithTimeout(context.Background(), 200*time.Millisecond))
		cancelled, cancel := context.WithCancel(context.Background())
		time.AfterFunc(100*time.Millisecond, cancel)
		go ask(cancelled, cancel)
	}
	right := many([]client{c}, 16, 16)
	counts := map[string]int{}
	for i := 0; i < 2*each; i++ {
		counts[<-codes]++
	}
	return object{"codes": counts, "right": right}
}

func spec(name string) object { return object{"name": name} }

func predictOf(model string, inputs object) object {
	return object{"model_spec": spec(model), "inputs": inputs}
}

func shape(sizes ...int) object {
	dims := []object{}
	for _, size := range sizes {
		dims = append(dims, object{"size": size})
	}
	return object{"dim": dims}
}

func floats(values ...float32) object {
	return object{"dtype": "DT_FLOAT", "tensor_shape": shape(len(values)), "float_val": values}
}

func packed(values []float32) object {
	content := make([]byte, 0, 4*len(values))
	for _, value := range values {
		content = binary.LittleEndian.AppendUint32(content, math.Float32bits(value))
	}
	return object{
		"dtype":          "DT_FLOAT",
		"tensor_shape":   shape(len(values)),
		"tensor_content": base64.StdEncoding.EncodeToString(content),
	}
}

func main() {
	files := readDescriptors(os.Args[1])
	clients := make([]client, 8)
	for i := range clients {
		clients[i] = connect(files, os.Args[2])
	}
	c := clients[0]
	x := object{"x": floats(1, 2, 5)}
	label := predictOf("half_plus", x)
	label["model_spec"] = object{"name": "half_plus", "version_label": "stable"}
	of := object{"model_spec": spec("half_plus"), "metadata_field": []string{"signature_def"}}
	answers := object{
		"newest":        c.ask(predict, predictOf("half_plus", x)),
		"label":         c.ask(predict, label),
		"metadata":      c.ask(metadata, of),
		"status":        c.ask(states, object{"model_spec": spec("half_plus")}),
		"unknown_model": c.ask(predict, predictOf("nope", x)),
		"missing_input": c.ask(predict, predictOf("shapes", x)),
		"many":          many(clients, 128, 16),
		"large":         large(c),
		"ended":         ended(c),
	}
	fmt.Println(string(must(json.Marshal(answers))))
}
