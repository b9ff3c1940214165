using System.CommandLine;
using BarBroker.Client.Grpc;
using BarBroker.Grpc;
using BarBroker.Hosting;
using BarBroker.V1;
using Spectre.Console;

namespace BarBroker.Commands;

/// <summary><c>bar-broker status</c>: how a running broker's devices are occupied, and by whom.</summary>
internal static class StatusCommand
{
    /// <summary>The broker answers from memory: one that takes longer hangs.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);

    public static Command Create()
    {
        Option<string> socket = CommonOptions.AdminSocket();
        Command command = new("status", "Show how the devices of a running broker are occupied, and who holds what.") { socket };
        command.SetAction((parsed, cancellationToken) => RunAsync(parsed.GetRequiredValue(socket), Terminal.Create(), Console.Error, cancellationToken));
        return command;
    }

    internal static async Task<int> RunAsync(string socketPath, IAnsiConsole output, TextWriter errors, CancellationToken cancellationToken)
    {
        try
        {
            await using UnixGrpcChannel channel = await UnixGrpcChannel.ConnectAsync(socketPath, cancellationToken);
            AdminListDevicesResponse devices = await channel.UnaryAsync<AdminListDevicesRequest, AdminListDevicesResponse>(
                "/barbroker.v1.Admin/ListDevices", new AdminListDevicesRequest(), OptionsOfOneCall(cancellationToken));
            List<HeldLease> leases = await ListLeasesAsync(channel, cancellationToken);
            new StatusView(output, TimeProvider.System.GetUtcNow()).Render(devices.Devices, leases);
            return ExitCodes.Success;
        }
        catch (RpcException exception)
        {
            await errors.WriteLineAsync(exception.Status.Detail);
            return ExitCodes.Failure;
        }
    }

    private static async Task<List<HeldLease>> ListLeasesAsync(UnixGrpcChannel channel, CancellationToken cancellationToken)
    {
        List<HeldLease> leases = [];
        ListLeasesRequest request = new();
        do
        {
            ListLeasesResponse page = await channel.UnaryAsync<ListLeasesRequest, ListLeasesResponse>(
                "/barbroker.v1.Admin/ListLeases", request, OptionsOfOneCall(cancellationToken));
            leases.AddRange(page.Leases);
            request = new ListLeasesRequest { PageToken = page.NextPageToken };
        }
        while (request.PageToken.Length > 0);
        return leases;
    }

    private static CallOptions OptionsOfOneCall(CancellationToken cancellationToken) => new(TimeProvider.System.GetUtcNow() + Patience, CancellationToken: cancellationToken);
}
