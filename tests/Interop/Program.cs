// Both ends of gRPC's public interop tests, on this project's own gRPC:
//   Interop serve SOCKET    hosts grpc.testing.TestService; says `serving SOCKET` once it does, and ends with SIGTERM
//   Interop client SOCKET   runs the cases against such a server; the last line is `N passed, N failed`

using BarBroker.Interop;

switch (args)
{
    case ["serve", string socket]:
        await Server.RunAsync(socket);
        return 0;
    case ["client", string socket]:
        return await Client.RunAsync(socket) ? 0 : 1;
    default:
        await Console.Error.WriteLineAsync("Usage: Interop serve SOCKET | Interop client SOCKET");
        return 2;
}
