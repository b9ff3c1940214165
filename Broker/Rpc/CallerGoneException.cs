namespace BarBroker.Rpc;

/// <summary>The caller reset the call or left, or the call was given up: nobody is left to be told, and nothing is wrong here.</summary>
internal sealed class CallerGoneException(Exception? innerException = null)
    : OperationCanceledException("The caller is gone, or the call was given up.", innerException);
