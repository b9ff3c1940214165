#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A client in Python: grpcio for the lease, a socket for its descriptor, libbarbroker for its registers.

    client.py SOCKET DEVICE WINDOW

Writes a counter to the register at 0x100 until the lease is taken away: exit status 3.
"""
import ctypes
import os
import select
import socket
import sys

import grpc
from barbroker.v1 import broker_pb2, lease_pb2

BB_READ_WRITE, BB_REVOKED = 2, 2
library = ctypes.CDLL("libbarbroker.so.0")
library.bb_lease_state.argtypes = [ctypes.c_int, ctypes.c_void_p]
library.bb_mmio_read32.argtypes = [ctypes.c_void_p, ctypes.POINTER(ctypes.c_uint32)]
library.bb_mmio_write32.argtypes = [ctypes.c_void_p, ctypes.c_uint32]


def check(result):
    """libbarbroker returns negative errnos."""
    if result < 0:
        raise OSError(-result, os.strerror(-result))
    return result


def acquire(path, device, window):
    # Newer versions of gRPC send the socket's path, percent-encoded, as the host's name, which it can't be:
    # servers that look at it refuse the call. Any proper name will do.
    options = [("grpc.default_authority", "localhost")]
    with grpc.insecure_channel(f"unix:{path}", options=options) as channel:
        call = channel.unary_unary(
            "/barbroker.v1.Broker/Acquire",
            request_serializer=broker_pb2.AcquireRequest.SerializeToString,
            response_deserializer=broker_pb2.AcquireResponse.FromString,
        )
        return call(broker_pb2.AcquireRequest(
            device=device, window=window, access=lease_pb2.ACCESS_READ_WRITE, delivery=broker_pb2.DELIVERY_TICKET))


def redeem(path, secret):
    """The connection that holds the lease, and the lease's descriptor."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.connect(path)
    connection.sendall(b"BARFD1 " + secret.encode() + b"\n")
    answer, descriptors, _, _ = socket.recv_fds(connection, 1, 1, socket.MSG_CMSG_CLOEXEC)
    if answer != b"\0" or not descriptors:
        sys.exit(f"The ticket was not redeemed: answer {answer!r} (see Ticket in broker.proto).")
    return connection, descriptors[0]


def map_lease(descriptor):
    address, length = ctypes.c_void_p(), ctypes.c_size_t()
    check(library.bb_map(descriptor, BB_READ_WRITE, ctypes.byref(address), ctypes.byref(length)))
    return address.value, length.value


def use(connection, descriptor, bar):
    value, back, counter = ctypes.c_uint32(), ctypes.c_uint32(), 0
    while True:
        counter += 1
        if (library.bb_mmio_read32(bar, value) or library.bb_mmio_write32(bar + 0x100, counter)
                or library.bb_mmio_read32(bar + 0x100, back)):
            if check(library.bb_lease_state(descriptor, None)) == BB_REVOKED:
                return
            print("suspended", flush=True)
        elif counter == 1:
            print(f"identification 0x{value.value:08x}, wrote 1, reads back {back.value}", flush=True)
        if select.select([connection], [], [], 0.01)[0]:
            return


def main(path, device, window):
    response = acquire(path, device, window)
    connection, descriptor = redeem(path, response.ticket.secret)
    bar, length = map_lease(descriptor)
    check(library.bb_mmio_init())
    print(f"lease {response.lease.lease_id}, {length} bytes", flush=True)
    use(connection, descriptor, bar)
    print("revoked", flush=True)
    return 3


if len(sys.argv) != 4:
    sys.exit(f"Usage: {sys.argv[0]} SOCKET DEVICE WINDOW")
sys.exit(main(*sys.argv[1:]))
