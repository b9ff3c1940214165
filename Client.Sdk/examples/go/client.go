// SPDX-License-Identifier: Apache-2.0
//
// client SOCKET DEVICE WINDOW: a client in Go. gRPC for the lease, the standard library for its descriptor and its registers: not
// libbarbroker, whose signal handler does not go with Go's stacks; debug.SetPanicOnFault does the same.
// It writes a counter to the register at 0x100 until the lease is taken away: exit status 3.
package main

import (
	"context"
	"fmt"
	"log"
	"net"
	"os"
	"runtime/debug"
	"syscall"
	"time"
	"unsafe"

	"barbroker/v1"
	"google.golang.org/grpc"
)

// One access each: the compiler can't leave out or join calls.
//
//go:noinline
func read32(address *byte) uint32 { return *(*uint32)(unsafe.Pointer(address)) }

//go:noinline
func write32(address *byte, value uint32) { *(*uint32)(unsafe.Pointer(address)) = value }

func acquire(path string, request *v1.AcquireRequest) *v1.AcquireResponse {
	dial := func(ctx context.Context, path string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}
	// Without it the socket's path would be the name of the host, which is none: servers that look at it refuse the call.
	conn, err := grpc.Dial(path, grpc.WithContextDialer(dial), grpc.WithAuthority("localhost"), grpc.WithInsecure())
	check(err)
	defer conn.Close()
	response := new(v1.AcquireResponse)
	check(conn.Invoke(context.Background(), "/barbroker.v1.Broker/Acquire", request, response))
	return response
}

// redeem returns the connection that holds the lease, and the lease's descriptor.
func redeem(path, secret string) (*net.UnixConn, int) {
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"})
	check(err)
	fmt.Fprintf(conn, "BARFD1 %s\n", secret)
	answer, control := make([]byte, 1), make([]byte, syscall.CmsgSpace(4))
	n, controlLength, _, _, err := conn.ReadMsgUnix(answer, control)
	messages, _ := syscall.ParseSocketControlMessage(control[:controlLength])
	if err != nil || n != 1 || answer[0] != 0 || len(messages) != 1 {
		log.Fatalf("The ticket was not redeemed: answer %d, %v (see Ticket in broker.proto)", answer[:n], err)
	}
	descriptors, _ := syscall.ParseUnixRights(&messages[0])
	return conn, descriptors[0]
}

// use returns false when a register could not be reached.
func use(bar []byte, counter uint32) (ok bool) {
	debug.SetPanicOnFault(true)
	defer func() { ok = recover() == nil }()
	identification := read32(&bar[0])
	write32(&bar[0x100], counter)
	if back := read32(&bar[0x100]); counter == 1 {
		fmt.Printf("identification 0x%08x, wrote 1, reads back %d\n", identification, back)
	}
	return
}

func main() {
	if len(os.Args) != 4 {
		log.Fatalf("Usage: %s SOCKET DEVICE WINDOW", os.Args[0])
	}
	response := acquire(os.Args[1], &v1.AcquireRequest{Device: os.Args[2], Target: &v1.AcquireRequest_Window{Window: os.Args[3]},
		Access: v1.Access_ACCESS_READ_WRITE, Delivery: v1.Delivery_DELIVERY_TICKET})
	conn, descriptor := redeem(os.Args[1], response.Ticket.Secret)
	length := int(response.Lease.Ranges[0].Length) // the others follow
	bar, err := syscall.Mmap(descriptor, 0, length, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	check(err)
	fmt.Printf("lease %d, %d bytes\n", response.Lease.LeaseId, length)
	// The connection says when the lease is over; an access that fails may mean that the device is suspended.
	for counter := uint32(1); ; counter++ {
		if !use(bar, counter) {
			fmt.Println("out of reach")
		}
		check(conn.SetReadDeadline(time.Now().Add(10 * time.Millisecond)))
		if _, err := conn.Read(make([]byte, 1)); !os.IsTimeout(err) {
			fmt.Println("revoked")
			os.Exit(3)
		}
	}
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
