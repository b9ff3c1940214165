using System.Runtime.InteropServices;

namespace BarBroker.Hosting;

/// <summary>SIGTERM and SIGINT as a token. A second one ends the process at once: then the kernel revokes.</summary>
internal sealed class StopSignals : IDisposable
{
    private readonly CancellationTokenSource _stop = new();
    private readonly List<PosixSignalRegistration> _registrations = [];
    private readonly ILogger _logger;

    public StopSignals(ILogger logger)
    {
        _logger = logger;
        _registrations.Add(PosixSignalRegistration.Create(PosixSignal.SIGTERM, OnStop));
        _registrations.Add(PosixSignalRegistration.Create(PosixSignal.SIGINT, OnStop));
        _registrations.Add(PosixSignalRegistration.Create(PosixSignal.SIGHUP, OnHangUp));
    }

    /// <summary>Is cancelled by the first signal.</summary>
    public CancellationToken Token => _stop.Token;

    /// <inheritdoc/>
    public void Dispose()
    {
        _registrations.ForEach(registration => registration.Dispose());
        _stop.Dispose();
    }

    private void OnStop(PosixSignalContext context)
    {
        if (_stop.IsCancellationRequested)
        {
            return;
        }

        context.Cancel = true;
        HostLog.Stopping(_logger, context.Signal.ToString());
        _stop.Cancel();
    }

    private void OnHangUp(PosixSignalContext context)
    {
        // The default would be to die, and take every lease along.
        context.Cancel = true;
        HostLog.HangUp(_logger);
    }
}
