using System.Collections.Immutable;
using BarBroker.Devices;
using BarBroker.Grpc.Health.V1;
using BarBroker.Hosting.Doctor;
using BarBroker.Leases;
using BarBroker.Policy;
using BarBroker.Rpc;
using BarBroker.Rpc.Services;
using BarBroker.Transport;
using BarBroker.Transport.Counting;
using BarBroker.Unix;

namespace BarBroker.Hosting;

/// <summary>Puts the daemon together, serves until it is told to stop, and takes it apart.</summary>
internal sealed class BrokerHost(ILoggerFactory loggers, TimeProvider time)
{
    public const string BrokerSocketName = "broker.sock";
    public const string AdminSocketName = "admin.sock";

    /// <summary>More than a device takes to find out that it can't confirm, less than service managers wait before they kill (90 s).</summary>
    private static readonly TimeSpan EndLeasesLimit = TimeSpan.FromSeconds(20);

    /// <summary>A watcher that reads at all takes its last events within milliseconds.</summary>
    private static readonly TimeSpan WatchersLimit = TimeSpan.FromSeconds(2);

    /// <summary>For calls that are under way when no lease is left.</summary>
    private static readonly TimeSpan CallsLimit = TimeSpan.FromSeconds(5);

    private const UnixFileMode BrokerSocketMode = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead | UnixFileMode.GroupWrite;
    private const UnixFileMode AdminSocketMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;

    private readonly ILogger _logger = loggers.CreateLogger<BrokerHost>();

    /// <summary>Is called once clients are served.</summary>
    public Action Serving { get; init; } = () => { };

    /// <summary>Serves until <paramref name="stop"/> is cancelled.</summary>
    /// <returns>False when it stopped without having seen the end of every lease confirmed.</returns>
    /// <exception cref="PolicyException">The policy does not fit the devices.</exception>
    /// <exception cref="StartException">Something is in the way.</exception>
    public async Task<bool> RunAsync(BrokerPolicy policy, string policyFile, CancellationToken stop)
    {
        CheckDescriptorLimit();

        // Before there is anybody who could use up the descriptors.
        ProgramAssemblies.LoadAll();
        await using DeviceOpener opener = new(loggers, time);
        await opener.CheckKernelAsync(policy).WaitAsync(stop);
        uint group = FindGroup(policy.ClientGroup);
        ImmutableArray<IBarDevice> devices = await opener.OpenAllAsync(policy, policyFile, stop);
        ServedDevices served = new(policy, devices);
        IBarDevice[] open = [.. devices.Where(device => device is not UnopenedDevice)];
        LeaseTable leases = new(open, new LeaseLimits(), time, loggers.CreateLogger<LeaseTable>());
        BrokerService broker = new(served, leases, new WarningThrottle(time), loggers.CreateLogger<BrokerService>());
        WireCounters counters = new();
        AdminService admin = new(served, leases, counters, loggers.CreateLogger<AdminService>());
        string brokerSocket = Path.Combine(policy.RuntimeDirectory, BrokerSocketName);
        string adminSocket = Path.Combine(policy.RuntimeDirectory, AdminSocketName);
        await using GrpcServer server = new(
            new GrpcServerOptions
            {
                Endpoints =
                [
                    new GrpcEndpoint { SocketPath = brokerSocket, Services = [broker], Mode = BrokerSocketMode, Group = group, TakesTickets = true },
                    new GrpcEndpoint
                    {
                        SocketPath = adminSocket, Services = [admin], Mode = AdminSocketMode, DescriptorsKeptFree = DescriptorReserve.SizeForAdmins,
                    },
                ],
                Counters = counters,
            },
            loggers,
            time);
        string[] services = ["", broker.Descriptor.FullName, admin.Descriptor.FullName];
        SetHealth(server, services, HealthCheckResponse.Types.ServingStatus.Serving);
        await using DeviceSupervisor supervisor = new(
            served, leases, server.Health, definition => opener.OpenAsync(definition, policyFile), time, loggers.CreateLogger<DeviceSupervisor>());
        using IDisposable? arrivals = opener.ListenForArrivals(supervisor.LookAgain);
        supervisor.Start();
        RuntimeDirectory.Prepare(policy.RuntimeDirectory);
        await StartAsync(server, stop);

        ServiceManager manager = ServiceManager.FromEnvironment(_logger);
        manager.Notify("READY=1");
        HostLog.Serving(_logger, open.Length, brokerSocket, policy.ClientGroup.ToString(), adminSocket);
        Serving();
        await stop.UntilCancelledAsync(CancellationToken.None);

        manager.Notify("STOPPING=1");
        SetHealth(server, services, HealthCheckResponse.Types.ServingStatus.NotServing);
        bool confirmed = await EndLeasesAsync(leases);
        // Before the calls are cancelled.
        await server.Health.WhenToldAsync().WaitAsync(WatchersLimit, time, CancellationToken.None).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        using CancellationTokenSource limit = new(CallsLimit, time);
        await server.StopAsync(limit.Token);
        return confirmed;
    }

    private static void CheckDescriptorLimit()
    {
        if (DescriptorTable.GetLimit() is var limit and < DescriptorReserve.LeastLimit)
        {
            throw new StartException(
                $"This process may have {limit} descriptors; a broker takes {DescriptorReserve.LeastLimit}, and {HostChecks.EnoughDescriptors} are recommended: LimitNOFILE= in its unit, or ulimit -Hn.");
        }
    }

    private static async Task StartAsync(GrpcServer server, CancellationToken stop)
    {
        try
        {
            await server.StartAsync(stop);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new StartException(exception.Message, exception);
        }
    }

    private static uint FindGroup(ClientGroup group)
    {
        try
        {
            return group.Gid
                ?? Groups.FindGid(group.Name!)
                ?? throw new StartException($"There is no group '{group.Name}' for the clients. Make it (groupadd --system {group.Name}), or name another as \"clientGroup\" in the policy.");
        }
        catch (UnixException exception)
        {
            throw new StartException($"The group '{group.Name}' can't be looked up: {exception.Message}", exception);
        }
    }

    private static void SetHealth(GrpcServer server, string[] services, HealthCheckResponse.Types.ServingStatus status)
    {
        foreach (string service in services)
        {
            server.Health.Set(service, status);
        }
    }

    private async Task<bool> EndLeasesAsync(LeaseTable leases)
    {
        EndResult result;
        Task watchersLeft;
        try
        {
            (result, watchersLeft) = await leases.ShutdownAsync().WaitAsync(EndLeasesLimit, time);
        }
        catch (TimeoutException)
        {
            HostLog.StopTimedOut(_logger, EndLeasesLimit);
            return false;
        }

        try
        {
            await watchersLeft.WaitAsync(WatchersLimit, time);
        }
        catch (TimeoutException)
        {
            HostLog.WatchersSlow(_logger, WatchersLimit);
        }

        if (!result.Unconfirmed.IsEmpty)
        {
            HostLog.StoppedUnconfirmed(_logger, result.Unconfirmed.Length);
            return false;
        }

        HostLog.Stopped(_logger, result.Ended.Length);
        return true;
    }
}
