using BarBroker.Client;
using BarBroker.Grpc;

namespace BarBroker.Tool;

/// <summary>Leases, and the program that has them.</summary>
internal sealed class LeasedProgram(RunOptions options)
{
    private const int BusError = 7;

    /// <summary>The broker's word on a lease's end follows the kernel's, on which a program may have died.</summary>
    private static readonly TimeSpan WordOfEnd = TimeSpan.FromSeconds(1);

    /// <summary>So that who started this finds the windows free when it has ended. The program's status must not wait for a device that is stuck.</summary>
    private static readonly TimeSpan GivingBack = TimeSpan.FromSeconds(1);

    private readonly List<BarLease> _leases = [];
    private volatile bool _ended;

    /// <returns>What to end with.</returns>
    /// <exception cref="FailureException">The program was not run.</exception>
    public static async Task<int> RunAsync(RunOptions options)
    {
        // First: the runtime takes some signals for itself later on.
        ulong ignored = ProcessFiles.ReadIgnoredSignals();
        try
        {
            BarBrokerClient client = await BarBrokerClient.ConnectAsync(options.SocketPath);
            try
            {
                return await new LeasedProgram(options).RunAsync(client, ignored);
            }
            finally
            {
                // The end of the connection, which is that of this process, gives the leases back in any case.
                await Task.WhenAny(client.DisposeAsync().AsTask(), Task.Delay(GivingBack));
            }
        }
        catch (RpcException exception)
        {
            throw new FailureException(ExitCodes.Failure, exception.Status.Detail);
        }
        catch (DescriptorLostException exception)
        {
            throw new FailureException(ExitCodes.Failure, exception.Message);
        }
    }

    private async Task<int> RunAsync(BarBrokerClient client, ulong ignored)
    {
        foreach (string window in options.Windows)
        {
            _leases.Add(await client.AcquireAsync(options.Device, window, options.Access));
        }

        if (_leases.Find(lease => lease.EndReason is not null) is { } over)
        {
            throw new FailureException(ExitCodes.Failure, $"{over} was over before the program could be started: {over.EndMessage}.");
        }

        ChildProgram.Start(options, [.. _leases.Select(lease => lease.Descriptor)], ignored);
        Task[] told = [.. _leases.Select(TellOfEnd)];
        int status = await Task.Factory.StartNew(ChildProgram.Wait, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        if (status == ExitCodes.Signalled + BusError)
        {
            await Task.WhenAny([Task.Delay(WordOfEnd), .. told]);
        }

        _ended = true;
        return status;
    }

    private void OnEnded(BarLease lease)
    {
        if (_ended)
        {
            return;
        }

        StandardError.WriteLine($"{lease} is over: {lease.EndMessage}.");
        if (options.EndSignal is { } signal)
        {
            // That it has just ended is as good.
            _ = ChildProgram.Signal(signal);
        }
    }

    /// <returns>Ends once the end of the lease has been told.</returns>
    private Task TellOfEnd(BarLease lease)
    {
        TaskCompletionSource told = new(TaskCreationOptions.RunContinuationsAsynchronously);
        lease.Ended.Register(() =>
        {
            OnEnded(lease);
            told.SetResult();
        });
        return told.Task;
    }
}
