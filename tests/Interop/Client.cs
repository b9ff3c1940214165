using BarBroker.Client.Grpc;

namespace BarBroker.Interop;

/// <summary>Our gRPC client through all of <see cref="Cases"/>, on a server that others wrote.</summary>
internal static class Client
{
    /// <summary>A line for each case, then the totals. Whether all passed.</summary>
    internal static async Task<bool> RunAsync(string socketPath)
    {
        await using UnixGrpcChannel channel = await UnixGrpcChannel.ConnectAsync(socketPath, CancellationToken.None);
        Cases cases = new(channel);
        (string Name, Func<Task> RunAsync)[] all = cases.All();
        int failed = 0;
        foreach ((string name, Func<Task> runAsync) in all)
        {
            try
            {
                await runAsync();
                Console.WriteLine($"ok {name}");
            }
            catch (Exception exception)
            {
                failed++;
                Console.WriteLine($"FAILED {name}: {exception}");
            }
        }

        Console.WriteLine($"{all.Length - failed} passed, {failed} failed");
        return failed == 0;
    }
}
