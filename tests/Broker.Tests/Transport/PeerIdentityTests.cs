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

        using OwnedDescriptor process = PeerIdentity.OpenProcess(pair.Server.SafeHandle, Environment.ProcessId, out _)!;

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

    [Fact]
    public void A_process_is_found_in_its_unit_and_in_the_user_namespace_of_this_one()
    {
        using SocketPair pair = new();
        PeerCredentials peer = PeerIdentity.ReadCredentials(pair.Server.SafeHandle);
        using OwnedDescriptor process = PeerIdentity.OpenProcess(pair.Server.SafeHandle, peer.Pid, out bool isCertain)!;

        PeerCredentials found = PeerPlace.Find(peer, process);

        Assert.True(isCertain);
        Assert.Equal(SystemdUnit.Of(File.ReadAllText("/proc/self/cgroup")), found.Unit);
        Assert.Equal(UserNamespace.Own, found.UserNamespace);
        Assert.Equal(peer, found with { Unit = null, UserNamespace = UserNamespace.Unknown });
    }

    [Fact]
    public async Task A_process_in_another_user_namespace_is_found_there()
    {
        using Process child = Process.Start("unshare", ["--user", "sleep", "1000"]);
        using OwnedDescriptor process = new(Libc.PidfdOpen(child.Id));
        PeerCredentials peer = new(0, 0, [], child.Id);

        // It is there once it has called unshare(2).
        while (PeerPlace.Find(peer, process).UserNamespace != UserNamespace.Other)
        {
            await Task.Delay(10, TestContext.Current.CancellationToken);
        }

        child.Kill();
        await child.WaitForExitAsync(TestContext.Current.CancellationToken);
    }

    [Fact]
    public async Task What_is_found_under_the_number_of_a_process_that_has_ended_is_not_believed()
    {
        using DirectoryOfProcess proc = new("0::/system.slice/trusted.service\n");
        using Process child = Process.Start("sleep", "1000");
        using OwnedDescriptor process = new(Libc.PidfdOpen(child.Id));
        PeerCredentials peer = new(0, 0, [], proc.Pid);
        Assert.Equal("trusted.service", PeerPlace.Find(peer, process, proc.Root).Unit);

        child.Kill();
        await child.WaitForExitAsync(TestContext.Current.CancellationToken);

        Assert.Equal(peer, PeerPlace.Find(peer, process, proc.Root));
    }

    [Fact]
    public void A_process_without_a_number_here_is_nowhere()
    {
        using DirectoryOfProcess proc = new("0::/system.slice/trusted.service\n", pid: 0);
        using OwnedDescriptor process = new(Libc.PidfdOpen(Environment.ProcessId));

        Assert.Null(PeerPlace.Find(new PeerCredentials(0, 0, [], 0), process, proc.Root).Unit);
    }

    /// <summary>What proc(5) shows of one process.</summary>
    private sealed class DirectoryOfProcess : IDisposable
    {
        private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("proc-");

        public DirectoryOfProcess(string cgroups, int pid = 7)
        {
            Pid = pid;
            File.WriteAllText(Path.Combine(_directory.CreateSubdirectory(pid.ToString(System.Globalization.CultureInfo.InvariantCulture)).FullName, "cgroup"), cgroups);
        }

        public int Pid { get; }

        public string Root => _directory.FullName;

        public void Dispose() => _directory.Delete(recursive: true);
    }

    private static uint[] StatusField(string name) =>
    [
        .. File.ReadLines("/proc/self/status").First(line => line.StartsWith(name, StringComparison.Ordinal))[name.Length..]
            .Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries)
            .Select(static text => uint.Parse(text, System.Globalization.CultureInfo.InvariantCulture)),
    ];
}
