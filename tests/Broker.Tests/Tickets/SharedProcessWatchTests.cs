using System.Diagnostics;
using BarBroker.Unix;
using Xunit;

namespace BarBroker.Tests.Tickets;

/// <summary>A ticket watches its acquirer's process for longer than the acquirer's connection lives.</summary>
public sealed class SharedProcessWatchTests
{
    [Fact]
    public async Task A_watch_goes_on_until_its_last_owner_ends_it()
    {
        using Process process = Process.Start(new ProcessStartInfo("/bin/cat") { RedirectStandardInput = true })!;
        ProcessExitWatch watch = new(new OwnedDescriptor(Libc.PidfdOpen(process.Id)));
        ProcessExitWatch? shared = watch.TryShare();
        Assert.NotNull(shared);
        TaskCompletionSource exited = new();
        await using CancellationTokenRegistration registration = shared.Exited.Register(exited.SetResult);

        watch.Dispose();
        process.StandardInput.Close();
        await exited.Task.WaitAsync(TestContext.Current.CancellationToken);

        shared.Dispose();
        Assert.Null(watch.TryShare());
    }
}
