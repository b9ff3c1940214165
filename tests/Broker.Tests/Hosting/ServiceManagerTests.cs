using System.Net.Sockets;
using System.Text;
using BarBroker.Hosting;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace BarBroker.Tests.Hosting;

public sealed class ServiceManagerTests
{
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_state_reaches_the_service_manager_by_path_or_abstract_name(bool isAbstract)
    {
        DirectoryInfo directory = Directory.CreateTempSubdirectory("notify-");
        string name = isAbstract ? $"@bar-broker-test-{Guid.NewGuid():n}" : Path.Combine(directory.FullName, "notify");
        using Socket manager = new(AddressFamily.Unix, SocketType.Dgram, ProtocolType.Unspecified);
        manager.Bind(new UnixDomainSocketEndPoint(isAbstract ? $"\0{name[1..]}" : name));

        new ServiceManager(name, NullLogger.Instance).Notify("READY=1");

        byte[] buffer = new byte[64];
        int length = await manager.ReceiveAsync(buffer, TestContext.Current.CancellationToken);
        Assert.Equal("READY=1", Encoding.UTF8.GetString(buffer, 0, length));
        directory.Delete(recursive: true);
    }

    [Theory]
    [InlineData(null)]
    [InlineData("")]
    [InlineData("/nowhere/notify")]
    public void Nobody_to_tell_is_no_failure(string? path) => new ServiceManager(path, NullLogger.Instance).Notify("READY=1");
}
