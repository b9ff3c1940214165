using System.Diagnostics;
using BarBroker.Unix;
using Xunit;

namespace BarBroker.Tests.Transport;

public sealed class PeerIdentityTests
{
    [Fact]
    public void The_kernel_names_this_process_as_its_own_peer()
    {
        using SocketPair pair = new();

        PeerCredentials peer = PeerIdentity.ReadCredentials(pair.Server.SafeHandle);

        Assert.Equal(Environment.ProcessId, peer.Pid);
        Assert.Equal(StatusField("Uid:")[1], peer.Uid);
        Assert.Equal(StatusField("Gid:")[1], peer.Gid);
        Assert.Equal(StatusField("Groups:").Order(), peer.Groups.Order());
    }

    [Fact]
    public void The_pidfd_is_this_process()
    {
        using SocketPair pair = new();

        using OwnedDescriptor process = PeerIdentity.OpenProcess(pair.Server.SafeHandle, Environment.ProcessId)!;

        Assert.Contains($"Pid:\t{Environment.ProcessId}", File.ReadLines($"/proc/self/fdinfo/{process.DangerousGetHandle()}"));
    }

    [Fact]
    public async Task The_end_of_a_process_cancels_the_token()
    {
        using Process child = Process.Start("sleep", "1000");
        using ProcessExitWatch watch = new(new OwnedDescriptor(Libc.PidfdOpen(child.Id)));
        TaskCompletionSource exited = new();
        using CancellationTokenRegistration registration = watch.Exited.Register(exited.SetResult);
        Assert.False(watch.Exited.IsCancellationRequested);

        child.Kill();

        await exited.Task.WaitAsync(TestContext.Current.CancellationToken);
        await child.WaitForExitAsync(TestContext.Current.CancellationToken);
    }

    private static uint[] StatusField(string name) =>
    [
        .. File.ReadLines("/proc/self/status").First(line => line.StartsWith(name, StringComparison.Ordinal))[name.Length..]
            .Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries)
            .Select(static text => uint.Parse(text, System.Globalization.CultureInfo.InvariantCulture)),
    ];
}
